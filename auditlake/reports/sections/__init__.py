"""The numbered sections of a report's page, each with its part of the JSON: a file, a fragment and a row each.

Hides what a section says and in which words. The door: ``catalog.SECTIONS``; a new section is a file here, its fragment
below ``reports_templates/sections/`` and a row there. Begin with ``model.py``, then ``retention.py``, a short one.
"""
