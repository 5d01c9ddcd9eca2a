-- sysbench 1.0: short statements of which no text comes twice.
function thread_init()
   drv = sysbench.sql.driver()
   con = drv:connect()
end

function event()
   con:query(string.format(
      "SELECT c, %d FROM sbtest1 WHERE id = %d",
      sysbench.rand.uniform(1, 2000000000), sysbench.rand.uniform(1, 10000)))
end

function thread_done()
   con:disconnect()
end
