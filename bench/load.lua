-- wrk's side of a scenario: wrk -s load.lua URL -- [FILE]
-- FILE has one session id per line; the threads share them out, so that no two ask for one session at the same time
-- (unless it is the only one). Without FILE every request is a first visit.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  failed = 0
  if not args[1] then return end
  local ids = {}
  for id in io.lines(args[1]) do table.insert(ids, id) end
  local requests = {}
  for i = 1, #ids do
    if #ids == 1 or i % 2 == number % 2 then   -- two threads
      table.insert(requests, wrk.format("GET", nil, { ["Host"] = wrk.headers["Host"], ["Cookie"] = "session_id=" .. ids[i] }))
    end
  end
  local next = 0
  request = function()
    next = next % #requests + 1
    return requests[next]
  end
end

-- wrk's own count of bad statuses takes a redirect for a good answer.
function response(status)
  if status ~= 200 then failed = failed + 1 end
end

function done(summary, latency)
  local failures = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do failures = failures + thread:get("failed") end
  print(string.format("result %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), failures))
end
