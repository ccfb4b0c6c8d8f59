"""Many people: a cohort table from case folders, its simulator, and the fit of an own model."""
