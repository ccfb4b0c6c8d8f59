"""What a case is: geometry, volumes, masks, counts, patient, results."""
