"""What happened, told to people: alerts made from what was recorded, and the channels that carry them."""
