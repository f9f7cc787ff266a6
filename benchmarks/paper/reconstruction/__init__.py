"""What flows of colour images keep at each rank K: directions, reconstructions, samples and their pictures."""
