"""Who follows links and loads pictures: kept, judged, counted."""
