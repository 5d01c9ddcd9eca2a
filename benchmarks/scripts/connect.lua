-- sysbench 1.0: every event is a connect, a statement and an orderly end. The statement is one that
-- nobody else runs: the server counts it, also where its own connection is another client's from before.
function thread_init()
   drv = sysbench.sql.driver()
end

function event()
   local con = drv:connect()
   con:query("DO 1")
   con:disconnect()
end
