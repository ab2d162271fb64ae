"""The open inference protocol, version 2: what its forms over HTTP and over gRPC share."""
