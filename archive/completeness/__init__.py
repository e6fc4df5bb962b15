"""Is this study whole? What is missing is found when it comes, kept, and said in plain words."""
