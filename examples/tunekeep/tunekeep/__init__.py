"""Who will leave a music service within 30 days? A synthetic world, the same for a seed, whose truth is known."""
