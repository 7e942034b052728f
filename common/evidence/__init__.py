"""What a release says to people: cards, statements, and the list of what it was made with."""
