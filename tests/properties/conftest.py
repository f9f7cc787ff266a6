"""How many cases hypothesis makes: a sample in every run, thousands by ``--hypothesis-profile thorough``."""

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # each file of tests is skipped then, and says why
    settings = None

if settings is not None:
    _COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}
    settings.register_profile("sample", max_examples=10, derandomize=True, database=None, **_COMMON)
    settings.register_profile("thorough", max_examples=900, print_blob=True, **_COMMON)
    if settings.get_current_profile_name() == "default":
        settings.load_profile("sample")
