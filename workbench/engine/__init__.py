"""One pipeline for every caller: route, cache, single-flight, breaker, key and limits, send, stream, settle, price."""
