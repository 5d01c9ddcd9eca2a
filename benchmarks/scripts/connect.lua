-- sysbench 1.0: every event is a connect, a statement and an orderly end.
function thread_init()
   drv = sysbench.sql.driver()
end

function event()
   local con = drv:connect()
   con:query("SELECT 1")
   con:disconnect()
end
