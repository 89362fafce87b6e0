"""Is it the data or the algorithm?"""
