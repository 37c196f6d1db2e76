"""``python -m auditlake``."""

from auditlake.cli import main

if __name__ == "__main__":
    main()
