"""Tables, figures and the page; the papers' own figures beside ours. ``report.build.build`` makes them all."""
