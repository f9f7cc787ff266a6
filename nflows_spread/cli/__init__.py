"""The command ``nflows-spread``: dimension, fit, transform, sample, reconstruct and report from a terminal.

``commands`` has what can be asked, ``data_files`` reads and ``result_files`` writes, ``run_folder`` keeps what was
fitted, ``one_line_errors`` says what went wrong.
"""
