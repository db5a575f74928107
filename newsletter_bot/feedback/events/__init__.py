"""What came in, whatever brought it: kept, tied to deliveries, acted on."""
