-- A scenario's requests for wrk: wrk -s load.lua URL [-- FILE SEED]
-- FILE has one session ID per line. Each request draws one at random. Without FILE every request is a first visit.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  failed = 0
  if not args[1] then return end
  -- Each thread needs a seed of its own: with the same one, all threads would ask for the same sessions at about the same time.
  math.randomseed(args[2] * 16 + number)
  local requests = {}
  for id in io.lines(args[1]) do
    table.insert(requests, wrk.format("GET", nil, { ["Host"] = wrk.headers["Host"], ["Cookie"] = "session_id=" .. id }))
  end
  request = function()
    return requests[math.random(#requests)]
  end
end

-- wrk itself counts a redirect as a success.
function response(status)
  if status ~= 200 then failed = failed + 1 end
end

function done(summary, latency)
  local failures = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do failures = failures + thread:get("failed") end
  print(string.format("result %d %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), failures, latency.max))
end
