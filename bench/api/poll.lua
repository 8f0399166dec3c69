-- Polls as a scheduler does, each time as another of the nodes; for wrk:
--   -s poll.lua URL -- KIND NODES PROJECTS RATE
-- KIND is ours or original. RATE is the polls a second of each thread; 0 polls as fast as it can.
-- With a rate, the moments at which requests are due are fixed beforehand, however long answers
-- take: `late` counts the requests that were sent more than 2 ms after their moment.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long sec; long nsec; } bench_time;
int clock_gettime(int clock, bench_time *now);
]]
local at = ffi.new("bench_time")
local function micros()
  ffi.C.clock_gettime(1, at)
  return tonumber(at.sec) * 1e6 + tonumber(at.nsec) / 1e3
end

local threads = {}
function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  local kind, nodes, projects = args[1], tonumber(args[2]), tonumber(args[3])
  rate, late, errors = tonumber(args[4]), 0, 0
  math.randomseed(number + 1)
  polls = {}
  for node = 0, nodes - 1 do
    local project = "project" .. node % projects
    local client = project .. "_node" .. node
    local headers = { ["Content-Type"] = "application/json", ["Accept"] = "application/json" }
    if kind == "ours" then
      headers["X-Auth-Token"] = "fzt_bench" .. node
    else
      headers["X-Identity-Status"], headers["X-Roles"] = "Confirmed", "member"
      headers["X-User-Id"], headers["X-Project-Id"] = "bench", project
    end
    local body = '{"match_not": [{"status": "completed"}], "match": [{"client_id": "'
      .. client .. '"}]}'
    local path = "/v2/" .. project .. "/jobs/?limit=10&offset=0"
    polls[node + 1] = wrk.format("GET", path, headers, body)
  end
  if rate == 0 then delay = nil end
end

function request()
  return polls[math.random(#polls)]
end

function delay()
  if rate == 0 then return 0 end
  local now = micros()
  due = due and due + 1e6 / rate or now
  if now > due + 2000 then late = late + 1 end
  return due > now and math.floor((due - now) / 1000 + 0.5) or 0
end

-- An empty list is no answer: each node has jobs.
function response(status, headers, body)
  if status ~= 200 or not body:find('"job_id"', 1, true) then errors = errors + 1 end
end

function done(summary, latency, requests)
  local late, errors = 0, 0
  for _, thread in ipairs(threads) do
    late, errors = late + thread:get("late"), errors + thread:get("errors")
  end
  local failed = summary.errors
  local lost = failed.connect + failed.read + failed.write + failed.timeout
  local ms = function(percentile) return latency:percentile(percentile) / 1000 end
  io.write(string.format(
    '\nRESULT {"polls": %d, "seconds": %.3f, "bytes": %d, "late": %d, "errors": %d, "lost": %d, '
      .. '"p50": %.3f, "p99": %.3f, "p999": %.3f, "max": %.3f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, late, errors, lost,
    ms(50), ms(99), ms(99.9), latency.max / 1000))
end
