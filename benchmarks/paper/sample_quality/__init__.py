"""How good drawn images are: Fréchet distance, precision and recall, and the features that they are taken in."""
