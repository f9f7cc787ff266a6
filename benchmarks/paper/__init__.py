"""The paper's reproduction: experiments, data sets, training, results, measures and pictures."""
