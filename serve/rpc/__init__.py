"""The open inference protocol over gRPC, beside the HTTP server and in the same event loop."""
