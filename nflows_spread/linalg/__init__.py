"""Gaussian algebra as pure tensor functions, to be imported from the file that holds them.

The spread prior N(0, AAᵀ + σ_Z² I) of equation 12 and the degenerate prior N(0, AAᵀ), for each way
to give AAᵀ. Inputs may be of any floating dtype; the arithmetic is done in float64, because forming
AAᵀ + σ_Z² I in float32 loses exactly the flat directions that the method is about, and densities are
returned in the dtype of the points. Distances between points, for the same reason, are here too.

============================ =================================================================================
file                         what is computed there
============================ =================================================================================
``dense``                    log-density for a lower-triangular A, for a covariance, and for its Cholesky factor
``cholesky``                 log-density for the Cholesky factor of AAᵀ + σ_Z² I as parameters
``low_rank``                 log-density, eigenvalues and best approximation for an A of few columns
``pieces``                   log-densities of a mixture's pieces of dense factors, batched
``scaled``                   log-densities of pieces that share one A at several scales
``cholesky_pieces``          log-densities of pieces by the Cholesky factors of their spread covariances
``squares``                  squared distances between points and the centres of pieces
``gaussian_mixture``         log-density, responsibilities and samples of a mixture of full covariances
``expectation_maximization`` a mixture fitted to points
``common_shape``             covariances of one shape at several scales
``few_features``             log-densities for few features, in the fewest calls
``torch_func``               log-densities under ``torch.func`` and forward-mode differentiation
``spread_covariance``        AAᵀ + σ_Z² I: its Cholesky factor, its solves, what all densities share
``triangular``               products and solves of triangular matrices by blocks
``eigen``                    eigenvalues and eigenvectors, largest first
``signal_to_noise``          generalised eigenvalues of signal and noise
``moments``                  covariances and second moments of points
``entropy``                  the paper's kernel estimate of the entropy
``distances``                distances and nearest neighbours
``autocast``                 arithmetic that mixed precision leaves alone
============================ =================================================================================
"""
