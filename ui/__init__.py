"""The page: `layout` has widgets and wiring, `handlers` what they do, `links` what a link says."""
