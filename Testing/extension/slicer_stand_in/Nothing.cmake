# Packaging is not tried by the stand-in.
