"""What a case is: geometry, volumes, masks, counts, patient, results. Knows numpy and psygnal only."""
