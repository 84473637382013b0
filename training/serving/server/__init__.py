"""A server for development: TF Serving's protocol on the same SavedModels.

Production is TF Serving. Imports: errors <- limits, configuration <- models <- batching
<- prediction <- grpc_api, page, rest_api <- server.
"""
