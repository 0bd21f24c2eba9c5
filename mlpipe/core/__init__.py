"""Pure numerics and rules: arrays and tables in, frozen values out. No spec, no I/O, no clock, explicit seeds."""
