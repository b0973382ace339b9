"""The whole course as static pages: they need no kernel, no server and no network."""
