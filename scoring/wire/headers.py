"""What calls and answers carry beside their messages: one list of its names.

Names of headers, trailers and content types are part of the contract: the doors send
them, our client and the published schema read them.
"""

# Trailers of a refusal by gRPC: which kind it is, the field, when a retry is welcome.
PROBLEM_KEY, FIELD_KEY = "scoring-problem", "scoring-field"
# The span of ours that answered, as W3C writes it; only where traces are on.
TRACE_RESPONSE = "traceresponse"
# Understood by the retry logic of every gRPC client.
PUSHBACK_KEY = "grpc-retry-pushback-ms"
# Of HTTP: how long the answer may take, and what a refusal is written in (RFC 9457).
TIMEOUT_HEADER = "x-timeout-ms"
PROBLEM_JSON = "application/problem+json"
