-- Asks for one address again and again, or posts to each line of BENCH_TOKENS once, then stops.
local tokens = {}
local handed = 0
local file = os.getenv("BENCH_TOKENS")

function init(arguments)
  if file then
    for line in io.lines(file) do tokens[#tokens + 1] = line end
    wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  end
end

function request()
  if not file then return wrk.format("GET") end
  handed = handed + 1
  if handed > #tokens then
    wrk.thread:stop()
    handed = 1
  end
  return wrk.format("POST", "/u/" .. tokens[handed], nil, "List-Unsubscribe=One-Click")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
