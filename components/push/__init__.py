"""The last step: a blessed model becomes a new version in the serving directory."""
