"""Distribution alignment: Deep CORAL and spectra."""
