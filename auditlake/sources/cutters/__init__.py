"""How inputs that are no lines or documents of JSON are cut into records; a mapping names one or several in ``read``."""
