"""Numbers to carriers: countries, numbering plan, rules, and which carrier of a route is fit just now."""
