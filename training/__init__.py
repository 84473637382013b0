"""The application: data, training, evaluation, export. TensorFlow lives here."""
