"""The page: `page` and `widgets` are what a visitor sees, `domain`, `photograph`, `sliders` and `saving` what
happens, `views` how it is shown; `state` is what is known of a visitor, `models` what all of them share.
"""
