"""How inputs that are no lines or documents of JSON are cut into records, as ``read`` of a mapping says."""
