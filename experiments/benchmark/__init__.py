"""Speed of optical products, as ratios to the float32 product of the same process."""
