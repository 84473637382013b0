"""The application around `keras_resnet`: data, training, evaluation, export. TensorFlow lives here."""
