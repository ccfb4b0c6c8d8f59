"""The queue of cases for one or more readers, and what two readers agree on."""
