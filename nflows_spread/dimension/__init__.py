"""The intrinsic dimension: each read-out by itself, and one verdict from all of them.

- of a flow: ``latents`` (moments of the encoded data), ``spectra`` (μ and Λ), ``rules`` and ``evidence`` (what a
  spectrum says), ``density`` (its score and denoiser), ``thickness`` (noise that the data brought along);
- of distances between points, without a flow: ``calibration``, ``neighbours``;
- of both: ``consensus`` (the verdict), ``stability`` (whether more training would change it).
"""
