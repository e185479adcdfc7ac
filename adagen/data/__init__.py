"""Real images: what generators learn, what rewards compare with, what metrics hold against."""
