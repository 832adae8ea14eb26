-- What wrk sends (method and body from its arguments), and its summary as one line of numbers.
function init(args)
  if args[1] == "write" then
    wrk.method = "POST"
    wrk.body = '{"name":"a thing","amount":42}'
    wrk.headers["Content-Type"] = "application/json"
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("\nsummary %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
