"""Rendering + recipient → bytes: headers, bodies, signatures."""
