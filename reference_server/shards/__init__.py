"""One model over several ranks: how it is cut, what the ranks tell each other, what the loss of one does."""
