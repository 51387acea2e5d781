"""The page in a real Chromium: what a person sees and does, against real gateways."""
