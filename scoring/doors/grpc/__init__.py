"""The gRPC door: protobuf to the neutral calls, and their answers as bytes."""
