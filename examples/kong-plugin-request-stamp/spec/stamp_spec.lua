local stamp = require "kong.plugins.request-stamp.stamp"

local RANDOM = "00112233445566778899aabbccddeeff"

describe("an id", function()
  it("of version 4 keeps the random digits around version and variant", function()
    assert.equal("00112233-4455-4677-8899-aabbccddeeff", stamp.uuid4(RANDOM))
  end)

  it("of version 4 has one of the four variants of the standard", function()
    for digit = 0, 15 do
      local random = RANDOM:sub(1, 16) .. ("%x"):format(digit) .. RANDOM:sub(18)
      assert.truthy(stamp.uuid4(random):match("^%x+%-%x+%-4%x+%-[89ab]%x%x%x%-%x+$"))
    end
  end)

  it("of version 7 begins with the milliseconds", function()
    assert.equal("018bcfe5-6800-7677-8899-aabbccddeeff", stamp.uuid7(RANDOM, 1700000000))
  end)

  it("of version 7 sorts by time", function()
    assert.truthy(stamp.uuid7(RANDOM, 1700000000.001) < stamp.uuid7(RANDOM, 1700000000.002))
    assert.truthy(stamp.uuid7(RANDOM, 1700000065.535) < stamp.uuid7(RANDOM, 1700000065.537))
  end)

  it("of a counter is the next number", function()
    local count = stamp.counter("n")
    assert.equal("n-1", count())
    assert.equal("n-2", count())
  end)

  it("of another counter begins at one", function()
    stamp.counter("a")()
    assert.equal("b-1", stamp.counter("b")())
  end)
end)

describe("an id from outside", function()
  it("is kept when it is plain", function()
    assert.truthy(stamp.acceptable("4f1c2c6e-9a75/a.b~c_d:e+f=#@", 64))
  end)

  it("is refused when it is empty, too long or no text", function()
    assert.falsy(stamp.acceptable("", 64))
    assert.falsy(stamp.acceptable(("x"):rep(65), 64))
    assert.truthy(stamp.acceptable(("x"):rep(64), 64))
    assert.falsy(stamp.acceptable(nil, 64))
  end)

  it("is refused when it could break a log line or a header", function()
    for _, bad in ipairs { "a b", "a\nb", "a\r\nX-Evil: 1", "a\"b", "a\0b", "\200\201" } do
      assert.falsy(stamp.acceptable(bad, 64))
    end
  end)
end)

describe("a path", function()
  it("lies under itself and under its parents", function()
    assert.truthy(stamp.under("/health", { "/health" }))
    assert.truthy(stamp.under("/health/db", { "/other", "/health" }))
    assert.truthy(stamp.under("/health/db", { "/health/" }))
    assert.truthy(stamp.under("/anything", { "/" }))
  end)

  it("does not lie under what merely begins alike", function()
    assert.falsy(stamp.under("/healthy", { "/health" }))
    assert.falsy(stamp.under("/orders", {}))
  end)
end)
