// aedes with its defaults on one loopback port, for the tests of the bridge. Keeps nothing on disk.
import { createServer } from 'node:net'
import * as aedes from 'aedes'

const Aedes = aedes.Aedes ?? aedes.default
const broker = Aedes.createBroker ? await Aedes.createBroker() : new Aedes()
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
