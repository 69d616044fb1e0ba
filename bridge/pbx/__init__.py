"""The PBX side: the vendor's SOAP API. Its words (cn, h323, vali) end in this folder."""
